"""The peer: the same two endpoints on FastAPI, in its strongest common form.

uvicorn with uvloop and httptools, orjson, python-jose over cryptography; courses in SQLite, opened once a worker, or in
Cassandra by its own driver, prepared and awaited without a thread.
Environment: PEER_DATABASE or PEER_CASSANDRA (host:port/keyspace), PEER_JWKS (a file), PEER_ISSUER, PEER_FILE, PEER_LINK_KEY.
"""

import hashlib
import hmac
import json
import os
import time

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import FileResponse, ORJSONResponse
from jose import JWTError, jwt

import stores

app = FastAPI(default_response_class=ORJSONResponse)
store = stores.opened(os.environ)
keys = {key["kid"]: key for key in json.load(open(os.environ["PEER_JWKS"]))["keys"]}
issuer = os.environ["PEER_ISSUER"]
link_key = os.environ["PEER_LINK_KEY"].encode()


def subject(authorization):
    try:
        token = authorization.removeprefix("Bearer ")
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, algorithms=["RS256"], audience="riwaq", issuer=issuer)["sub"]
    except (JWTError, KeyError, AttributeError):
        raise HTTPException(401, "unauthenticated")


@app.get("/api/courses")
async def courses(authorization: str = Header(None)):
    rows = await store.courses_of(subject(authorization))
    return ORJSONResponse({"items": [dict(zip(stores.COLUMNS, row)) for row in rows], "next_cursor": None})


@app.get("/files/{name}")
async def download(name: str, expires: int, signature: str):
    wanted = hmac.new(link_key, f"{name}:{expires}".encode(), hashlib.sha256).hexdigest()
    if expires < time.time() or not hmac.compare_digest(wanted, signature):
        raise HTTPException(403, "forbidden")
    return FileResponse(os.environ["PEER_FILE"], media_type="application/octet-stream")
