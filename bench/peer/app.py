"""The peer: the same two endpoints on FastAPI, in its strongest common form.

uvicorn with uvloop and httptools, orjson, python-jose over cryptography; SQLite opened once a worker.
Environment: PEER_DATABASE, PEER_JWKS (a file), PEER_ISSUER, PEER_FILE, PEER_LINK_KEY.
"""

import hashlib
import hmac
import json
import os
import sqlite3
import time

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import FileResponse, ORJSONResponse
from jose import JWTError, jwt

app = FastAPI(default_response_class=ORJSONResponse)
database = sqlite3.connect(os.environ["PEER_DATABASE"], check_same_thread=False)
database.execute("PRAGMA journal_mode=WAL")
keys = {key["kid"]: key for key in json.load(open(os.environ["PEER_JWKS"]))["keys"]}
issuer = os.environ["PEER_ISSUER"]
link_key = os.environ["PEER_LINK_KEY"].encode()
COLUMNS = ["id", "title", "description", "status", "visibility", "owner", "version", "created_at", "updated_at"]
QUERY = (
    "SELECT c.id, c.title, c.description, c.status, c.visibility, c.owner, c.version, c.created_at, c.updated_at "
    "FROM courses c WHERE c.owner = ? ORDER BY c.id DESC LIMIT 50"
)


def subject(authorization):
    try:
        token = authorization.removeprefix("Bearer ")
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, algorithms=["RS256"], audience="riwaq", issuer=issuer)["sub"]
    except (JWTError, KeyError, AttributeError):
        raise HTTPException(401, "unauthenticated")


@app.get("/api/courses")
async def courses(authorization: str = Header(None)):
    rows = database.execute(QUERY, (subject(authorization),)).fetchall()
    return ORJSONResponse({"items": [dict(zip(COLUMNS, row)) for row in rows], "next_cursor": None})


@app.get("/files/{name}")
async def download(name: str, expires: int, signature: str):
    wanted = hmac.new(link_key, f"{name}:{expires}".encode(), hashlib.sha256).hexdigest()
    if expires < time.time() or not hmac.compare_digest(wanted, signature):
        raise HTTPException(403, "forbidden")
    return FileResponse(os.environ["PEER_FILE"], media_type="application/octet-stream")
