"""A stock OpenID Connect client signs in by code and PKCE, as a program on somebody's machine does.

usage: oidc_client.py ISSUER LOGIN PASSWORD
Exits with 0 when every step held; the last line says so.
"""

import sys
import time
import urllib.parse

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from forms import sign_in

issuer, login, password = sys.argv[1:4]
REDIRECT = "http://127.0.0.1:43219/callback"


metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
assert metadata["issuer"] == issuer, metadata["issuer"]
assert "S256" in metadata["code_challenge_methods_supported"]
assert "RS256" in metadata["id_token_signing_alg_values_supported"]

client = OAuth2Session(
    "riwaq-cli",
    token_endpoint_auth_method="none",
    redirect_uri=REDIRECT,
    scope="openid profile email",
    code_challenge_method="S256",
)
verifier = "a-verifier-of-at-least-forty-three-characters-0123456789"
address, state = client.create_authorization_url(
    metadata["authorization_endpoint"], code_verifier=verifier, nonce="a-nonce-of-this-run"
)

browser = requests.Session()
page = browser.get(address, timeout=10)
assert page.status_code == 200, page.text
answer = sign_in(browser, page, login, password, REDIRECT)
back = answer.headers["location"]
query = urllib.parse.parse_qs(urllib.parse.urlparse(back).query)
assert query["state"] == [state], back

token = client.fetch_token(metadata["token_endpoint"], authorization_response=back, code_verifier=verifier)
keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
decoded = jwt.decode(token["id_token"], keys, algorithms=["RS256"])
claims = CodeIDToken(
    decoded.claims,
    decoded.header,
    {"iss": {"value": issuer}, "aud": {"value": "riwaq-cli"}},
    {"nonce": "a-nonce-of-this-run", "client_id": "riwaq-cli"},
)
claims.validate(now=time.time())

person = client.get(metadata["userinfo_endpoint"]).json()
assert person["sub"] == decoded.claims["sub"], person

first = token["refresh_token"]
renewed = client.refresh_token(metadata["token_endpoint"], refresh_token=first)
assert renewed["access_token"] != token["access_token"]
assert renewed["refresh_token"] != first

again = requests.post(
    metadata["token_endpoint"],
    data={"grant_type": "authorization_code", "code": query["code"][0], "redirect_uri": REDIRECT,
          "client_id": "riwaq-cli", "code_verifier": verifier},
    timeout=10,
)
assert again.status_code == 400 and again.json()["error"] == "invalid_grant", again.text
print("oidc: every step held")
