"""People sign in at the realm's own page, over TLS, by a stock OpenID Connect client.

usage: keycloak_sign_in.py ISSUER CA PORTAL_SECRET USERS_SECRET PASSWORD STUDENT_ID
The realm has the people student, teacher and victim, all with that password.
Exits with 0 when every step held; the last line says so.
"""

import base64
import hashlib
import hmac
import html
import re
import struct
import sys
import time
import urllib.parse

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from forms import Form

issuer, ca, portal_secret, users_secret, password, student_id = sys.argv[1:7]
PUBLIC = "https://riwaq.example"
CALLBACK = f"{PUBLIC}/api/auth/session/callback"
LOOPBACK = "http://127.0.0.1:43219/anything"


def get(url, **more):
    return requests.get(url, verify=ca, timeout=30, **more)


metadata = get(f"{issuer}/.well-known/openid-configuration").json()
assert metadata["issuer"] == issuer, metadata["issuer"]
keys = KeySet.import_key_set({"keys": [key for key in get(metadata["jwks_uri"]).json()["keys"] if key["use"] == "sig"]})


class SignIn:
    """One browser on its way to the portal."""

    def __init__(self, **parameters):
        self.client = OAuth2Session(
            "riwaq-portal", portal_secret, redirect_uri=CALLBACK, scope="openid profile", code_challenge_method="S256"
        )
        self.verifier, self.nonce = generate_token(48), generate_token(20)
        address, self.state = self.client.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce, **parameters
        )
        self.browser = requests.Session()
        # Or a bundle named by the environment would count instead.
        self.browser.trust_env, self.browser.verify = False, ca
        self.answer = self.follow(self.browser.get(address, allow_redirects=False, timeout=30))

    def follow(self, answer):
        while answer.is_redirect and not answer.headers["location"].startswith(PUBLIC):
            answer = self.browser.get(
                urllib.parse.urljoin(answer.url, answer.headers["location"]), allow_redirects=False, timeout=30
            )
        self.answer = answer
        return answer

    def send(self, **fields):
        form = Form(self.answer.text)
        assert form.action, self.answer.text
        form.fields.update(fields)
        address = urllib.parse.urljoin(self.answer.url, form.action)
        return self.follow(self.browser.post(address, data=form.fields, allow_redirects=False, timeout=30))

    def is_in(self):
        return self.answer.is_redirect and "code=" in self.answer.headers["location"]

    def tokens(self):
        assert self.is_in(), f"{self.answer.status_code} {self.answer.text}"
        back = self.answer.headers["location"]
        return self.client.fetch_token(
            metadata["token_endpoint"], authorization_response=back, code_verifier=self.verifier, verify=ca
        )


def claims_of(token):
    return jwt.decode(token, keys, algorithms=["RS256"]).claims


def check_access(token, roles, client="riwaq-portal"):
    claims = claims_of(token)
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    assert audience == ["riwaq"], claims
    assert claims["iss"] == issuer and claims["azp"] == client and claims["typ"] == "Bearer", claims
    assert claims["exp"] - claims["iat"] == 300, claims
    assert sorted(claims["realm_access"]["roles"]) == roles, claims
    assert claims["jti"], claims
    told = {"email", "email_verified", "name", "preferred_username", "given_name", "family_name", "resource_access"}
    assert not told & set(claims), f"an access token says who it is: {claims}"
    return claims


def totp(secret, step):
    digest = hmac.new(secret.encode(), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset:offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def refused_refresh(token):
    data = {
        "grant_type": "refresh_token", "refresh_token": token,
        "client_id": "riwaq-portal", "client_secret": portal_secret,
    }
    answer = requests.post(metadata["token_endpoint"], data=data, verify=ca, timeout=30)
    return answer.status_code == 400 and answer.json()["error"] == "invalid_grant"


# The page, in the languages of the school.
french = SignIn().answer
assert '<html class="login-pf" lang="fr" dir="ltr"' in french.text, french.text[:300]
arabic = SignIn(ui_locales="ar").answer
assert '<html class="login-pf" lang="ar" dir="rtl"' in arabic.text, arabic.text[:300]
assert "تسجيل الدخول" in arabic.text
style = re.search(r'href="([^"]*riwaq\.css)"', arabic.text)
assert style, "the theme is not there"
assert get(urllib.parse.urljoin(arabic.url, style[1])).status_code == 200
assert f"{PUBLIC}/auth/forgot?lang=ar" in html.unescape(arabic.text), "a forgotten password is Riwaq's affair"
print("keycloak: pages")

# A student: name or address, no second factor.
signing_in = SignIn()
signing_in.send(username="student", password=password)
first = signing_in.tokens()
access = check_access(first["access_token"], ["student"])
assert access["sub"] == student_id, access
identity = claims_of(first["id_token"])
assert identity["nonce"] == signing_in.nonce and identity["sid"] == access["sid"], identity
assert identity["preferred_username"] == "student"
by_address = SignIn()
by_address.send(username="STUDENT@Example.org", password=password)
assert check_access(by_address.tokens()["access_token"], ["student"])["sub"] == student_id
print("keycloak: a student")

# The next refresh token replaces the one before: it may be repeated once, for an answer that was lost, as long as
# its successor was not used.
renew = lambda token: signing_in.client.refresh_token(metadata["token_endpoint"], refresh_token=token, verify=ca)
second = renew(first["refresh_token"])
assert second["refresh_token"] != first["refresh_token"]
assert check_access(second["access_token"], ["student"])["sid"] == access["sid"]
assert claims_of(second["access_token"])["jti"] != access["jti"]
again = renew(first["refresh_token"])
assert refused_refresh(first["refresh_token"]), "a third use"
fresh = SignIn()
fresh.send(username="student", password=password)
one = fresh.tokens()
# Which one came first is known to the second.
time.sleep(1.1)
two = renew(one["refresh_token"])
time.sleep(1.1)
three = renew(two["refresh_token"])
assert refused_refresh(one["refresh_token"]), "its successor was used"
print("keycloak: renewal")

# A teacher sets the second factor up, and is asked for it from then on.
signing_in = SignIn()
page = signing_in.send(username="teacher", password=password)
assert 'id="kc-totp-settings-form"' in page.text, page.text
secret = Form(page.text).fields["totpSecret"]
step = int(time.time()) // 30
signing_in.send(totp=totp(secret, step), userLabel="phone")
check_access(signing_in.tokens()["access_token"], ["teacher"])
signing_in = SignIn()
page = signing_in.send(username="teacher", password=password)
assert 'id="kc-otp-login-form"' in page.text, page.text
wrong = f"{(int(totp(secret, step)) + 500_000) % 1_000_000:06}"
signing_in.send(otp=wrong)
assert not signing_in.is_in(), "a wrong code"
# Keycloak takes one attempt of a person at a time, and the one before may end a moment after its answer. A wait for
# guessing would be longer than this.
for _ in range(10):
    signing_in.send(otp=totp(secret, int(time.time()) // 30 + 1))
    if signing_in.is_in():
        break
    time.sleep(0.2)
check_access(signing_in.tokens()["access_token"], ["teacher"])
print("keycloak: a teacher")

# Guessing is slowed down for the account, and for nobody else behind the same address.
for _ in range(7):
    guess = SignIn().send(username="victim", password="not the password")
    assert not guess.is_redirect
    # Faster ones are taken for a machine's, and have a wait of their own.
    time.sleep(0.3)
begun = time.monotonic()
slowed = SignIn()
refusal = slowed.send(username="victim", password=password)
assert not slowed.is_in(), "the right password right after too many wrong ones"
neighbour = SignIn()
neighbour.send(username="student", password=password)
assert neighbour.is_in()
while True:
    later = SignIn()
    later.send(username="victim", password=password)
    if later.is_in():
        break
    assert time.monotonic() - begun < 120, "locked for good"
    time.sleep(1)
print(f"keycloak: guessing, open again after {time.monotonic() - begun:.0f} s")

# What clients must not do.
without_pkce = {
    "client_id": "riwaq-portal", "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid", "state": "s",
}
answer = get(metadata["authorization_endpoint"], params=without_pkce, allow_redirects=False)
assert "error=invalid_request" in answer.headers.get("location", ""), answer.text
elsewhere = {**without_pkce, "redirect_uri": "https://elsewhere.example/callback"}
assert get(metadata["authorization_endpoint"], params=elsewhere, allow_redirects=False).status_code == 400
challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 50).digest()).rstrip(b"=").decode()
native = {
    **without_pkce, "client_id": "riwaq-cli", "redirect_uri": LOOPBACK,
    "code_challenge": challenge, "code_challenge_method": "S256",
}
assert get(metadata["authorization_endpoint"], params=native).status_code == 200
answer = get(metadata["authorization_endpoint"], params={**native, "redirect_uri": "http://10.0.0.1/x"})
assert answer.status_code == 400
for client, secret in (("riwaq-portal", portal_secret), ("riwaq-cli", None)):
    data = {"grant_type": "password", "client_id": client, "username": "student", "password": password}
    data |= {"client_secret": secret} if secret else {}
    answer = requests.post(metadata["token_endpoint"], data=data, verify=ca, timeout=30)
    assert answer.status_code in (400, 401) and answer.json()["error"] == "unauthorized_client", answer.text
print("keycloak: clients")

# A service as itself.
data = {"grant_type": "client_credentials", "client_id": "riwaq-users", "client_secret": users_secret}
answer = requests.post(metadata["token_endpoint"], data=data, verify=ca, timeout=30).json()
own = check_access(answer["access_token"], ["service"], "riwaq-users")
assert "sid" not in own and "refresh_token" not in answer, (own, list(answer))
data["client_secret"] = users_secret[:-1]
answer = requests.post(metadata["token_endpoint"], data=data, verify=ca, timeout=30)
assert answer.status_code == 401, answer.text
print("keycloak: every step held")
