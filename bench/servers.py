"""The servers that are measured, each started on a free port of this machine."""

import hashlib
import hmac
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

import requests

from measuring import free_port, wait_ready

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE / "peer"))
import stores  # noqa: E402  the peer's own
PASSWORD = "a-password-for-measuring"


class Server:
    """A process that ends with the `with` block."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    @property
    def pid(self):
        return self.process.pid

    def start(self, command, log, ready, **others):
        self.log = open(log, "ab")
        started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, **others)
        wait_ready(self.port, ready)
        self.ready = time.monotonic() - started


class Riwaq(Server):
    """All roles in one process, in a folder of its own. `settings` are more variables (`RIWAQ_*`); `prepare` is told the
    address before the start, and gives such as depend on it."""

    name = "Riwaq"

    def __init__(self, program, folder, prepare=None, **settings):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        settings.update(prepare(self.base) if prepare else {})
        command = [program, "dev", "--port", str(self.port), "--data-dir", str(folder), "--demo-password", PASSWORD]
        self.start(command, f"{folder}.log", "/readyz", env={**os.environ, **settings})

    def sign_in(self, email="teacher@riwaq.local"):
        answer = requests.post(f"{self.base}/api/auth/login", json={"email": email, "password": PASSWORD}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def headers(self, email="teacher@riwaq.local"):
        return {"Authorization": f"Bearer {self.sign_in(email)['access_token']}"}

    def tokens(self, count):
        """So many access tokens of one person, by refreshing."""
        tokens, session = [], requests.Session()
        held = self.sign_in()
        while len(tokens) < count:
            tokens.append(held["access_token"])
            answer = session.post(f"{self.base}/api/auth/refresh", json={"refresh_token": held["refresh_token"]}, timeout=30)
            answer.raise_for_status()
            held = answer.json()
        return tokens

    def prepare(self, big, courses):
        """Makes courses, and a file in the last one."""
        headers = self.headers()
        for n in range(courses):
            body = {"title": f"Cours {n}", "description": "Une description de taille ordinaire. " * 4}
            made = requests.post(f"{self.base}/api/courses", json=body, headers=headers, timeout=10)
            made.raise_for_status()
        with open(big, "rb") as file:
            answer = requests.post(
                f"{self.base}/api/courses/{made.json()['id']}/files",
                files={"file": ("big.bin", file, "application/octet-stream")}, headers=headers, timeout=60,
            )
        answer.raise_for_status()
        self.course, self.file = made.json()["id"], answer.json()["id"]

    def courses(self):
        return f"{self.base}/api/courses?scope=mine"

    def download(self):
        answer = requests.get(f"{self.base}/api/files/{self.file}/link", headers=self.headers(), timeout=10)
        answer.raise_for_status()
        return answer.json()["url"]


class Peer(Server):
    """FastAPI with the same courses, in SQLite or in Cassandra; it believes the tokens of `riwaq`."""

    name = "FastAPI"

    def __init__(self, riwaq, folder, big, cassandra=None):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        discovered = requests.get(f"{riwaq.base}/.well-known/openid-configuration", timeout=10).json()
        (folder / "jwks.json").write_text(requests.get(discovered["jwks_uri"], timeout=10).text)
        listed = requests.get(riwaq.courses(), headers=riwaq.headers(), timeout=10).json()["items"]
        store = self.in_cassandra(cassandra, listed) if cassandra else self.in_sqlite(folder / "peer.db", listed)
        environment = {
            **os.environ, **store, "PEER_JWKS": str(folder / "jwks.json"),
            "PEER_ISSUER": discovered["issuer"], "PEER_FILE": str(big), "PEER_LINK_KEY": "a-key-of-the-peer",
        }
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self.port), "--workers", "2",
                   "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
        self.start(command, folder / "peer.log", "/openapi.json", cwd=HERE / "peer", env=environment)

    @staticmethod
    def in_sqlite(path, listed):
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE courses (id TEXT PRIMARY KEY, title, description, status, visibility, "
                         "owner, version, created_at, updated_at)")
        database.execute("CREATE INDEX by_owner ON courses (owner, id)")
        for course in listed:
            database.execute("INSERT INTO courses VALUES (?,?,?,?,?,?,?,?,?)", [course[name] for name in stores.COLUMNS])
        database.commit()
        database.close()
        return {"PEER_DATABASE": str(path)}

    @staticmethod
    def in_cassandra(address, listed):
        stores.filled(address, listed)
        return {"PEER_CASSANDRA": address}

    def courses(self):
        return f"{self.base}/api/courses"

    def download(self):
        expires = int(time.time()) + 300
        signature = hmac.new(b"a-key-of-the-peer", f"big:{expires}".encode(), hashlib.sha256).hexdigest()
        return f"{self.base}/files/big?expires={expires}&signature={signature}"


class Nginx(Server):
    """The floor of a download: sendfile and nothing else."""

    name = "nginx"

    def __init__(self, folder, big):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/{big.name}"
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
            "events { worker_connections 512; }\n"
            "http { access_log off; sendfile on; sendfile_max_chunk 2m; tcp_nopush on; keepalive_requests 1000000;\n"
            f"  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n"
            f"  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
            f"  server {{ listen 127.0.0.1:{self.port}; root {big.parent}; }} }}\n"
        )
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        command = ["nginx", "-c", f"{folder}/nginx.conf", *user]
        self.start(command, folder / "nginx.out", f"/{big.name}")

    def download(self):
        return self.url
