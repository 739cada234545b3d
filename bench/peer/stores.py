"""Where the peer keeps its courses."""

import asyncio
import sqlite3

COLUMNS = ["id", "title", "description", "status", "visibility", "owner", "version", "created_at", "updated_at"]
SELECT = f"SELECT {', '.join(COLUMNS)} FROM courses WHERE owner = ? ORDER BY id DESC LIMIT 50"


class Sqlite:
    def __init__(self, path):
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.execute("PRAGMA journal_mode=WAL")

    async def courses_of(self, owner):
        return self.database.execute(SELECT, (owner,)).fetchall()


class Cassandra:
    """The driver calls back on its own thread; the answer is handed over to the loop."""

    def __init__(self, address):
        from cassandra import ConsistencyLevel
        from cassandra.cluster import Cluster
        from cassandra.query import tuple_factory

        place, keyspace = address.split("/")
        host, port = place.split(":")
        self.session = Cluster([host], port=int(port), protocol_version=5, **signed_in()).connect(keyspace)
        self.session.row_factory = tuple_factory
        self.session.default_consistency_level = ConsistencyLevel.LOCAL_QUORUM
        self.select = self.session.prepare(SELECT)

    async def courses_of(self, owner):
        loop = asyncio.get_running_loop()
        rows = loop.create_future()
        answer = self.session.execute_async(self.select, (owner,))
        answer.add_callbacks(
            lambda found: loop.call_soon_threadsafe(rows.set_result, found),
            lambda error: loop.call_soon_threadsafe(rows.set_exception, error),
        )
        return await rows


def signed_in():
    from cassandra.auth import PlainTextAuthProvider

    return {"auth_provider": PlainTextAuthProvider("cassandra", "cassandra")}


def filled(address, listed):
    """Makes the peer's keyspace and table with these courses."""
    from cassandra.cluster import Cluster

    place, keyspace = address.split("/")
    host, port = place.split(":")
    with Cluster([host], port=int(port), protocol_version=5, **signed_in()) as cluster:
        session = cluster.connect()
        session.execute(f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
                        "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}")
        session.set_keyspace(keyspace)
        session.execute("CREATE TABLE IF NOT EXISTS courses (owner text, id text, title text, description text, status text, "
                        "visibility text, version bigint, created_at text, updated_at text, PRIMARY KEY (owner, id)) "
                        "WITH CLUSTERING ORDER BY (id DESC)")
        insert = session.prepare(f"INSERT INTO courses ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})")
        for course in listed:
            session.execute(insert, [course[name] for name in COLUMNS])


def opened(environment):
    if address := environment.get("PEER_CASSANDRA"):
        return Cassandra(address)
    return Sqlite(environment["PEER_DATABASE"])
