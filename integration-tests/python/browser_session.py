"""A browser signs in at the gateway: the password is typed at the issuer's page, tokens never reach the browser.

usage: browser_session.py BASE LOGIN PASSWORD      (LOGIN may create courses)
Exits with 0 when every step held; the last line says so.
"""

import sys
import urllib.parse

import requests

from forms import sign_in

base, login, password = sys.argv[1:4]
browser = requests.Session()


def url(path):
    return f"{base}{path}"


# Only ways that stay here are gone back to.
for elsewhere in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"):
    away = browser.get(url("/api/auth/session/login"), params={"return_to": elsewhere}, allow_redirects=False, timeout=10)
    assert away.status_code in (302, 303, 307, 422, 400), away.status_code
    browser.cookies.clear()

page = browser.get(url("/api/auth/session/login"), params={"return_to": "/?lang=ar"}, timeout=10)
assert page.status_code == 200, page.text
home = url("/?lang=ar")
answer = sign_in(browser, page, login, password, home)
assert urllib.parse.urljoin(answer.url, answer.headers["location"]) == home, answer.url
answer = browser.get(home, timeout=10)
assert answer.url == url("/?lang=ar"), answer.url

cookies = {cookie.name: cookie for cookie in browser.cookies}
session = cookies["riwaq_session"]
assert session.has_nonstandard_attr("HttpOnly"), "scripts must not read the session"
assert session.value.count(".") != 2, "the cookie must not be a token"

state = browser.get(url("/api/auth/session"), timeout=10)
assert state.status_code == 200, state.text
assert "token" not in {key for key in state.json() if key != "csrf_token"}, state.text
csrf = state.json()["csrf_token"]

course = {"title": "Par le navigateur", "description": ""}
refused = browser.post(url("/api/courses"), json=course, timeout=10)
assert refused.status_code == 403 and refused.json()["code"] == "csrf", refused.text
wrong = browser.post(url("/api/courses"), json=course, headers={"X-CSRF-Token": csrf[:-1] + "x"}, timeout=10)
assert wrong.status_code == 403, wrong.text
made = browser.post(url("/api/courses"), json=course, headers={"X-CSRF-Token": csrf}, timeout=10)
assert made.status_code == 201, made.text
assert browser.get(url("/api/courses"), timeout=10).status_code == 200

ended = browser.delete(url("/api/auth/session"), headers={"X-CSRF-Token": csrf}, timeout=10)
assert ended.status_code == 204, ended.text
browser.cookies.set_cookie(session)
after = browser.get(url("/api/courses"), timeout=10)
assert after.status_code == 401, f"a session that was ended still answers {after.status_code}"
print("browser: every step held")
