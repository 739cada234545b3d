"""Signing in at the issuer's page, as somebody who sees only its form."""

import hmac
import html.parser
import http.cookiejar
import struct
import time
import urllib.parse

# The servers under test speak plain HTTP on loopback, which browsers take for secure: Secure cookies go there as well.
http.cookiejar.DefaultCookiePolicy.return_ok_secure = lambda policy, cookie, request: True


class Form(html.parser.HTMLParser):
    """One form of a page, the first unless said otherwise: where it goes and what it holds."""

    def __init__(self, page, number=0):
        super().__init__()
        self.action, self.fields = None, {}
        self.before, self.inside = number, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.inside = self.before == 0
            self.before -= 1
            if self.inside:
                self.action = attrs.get("action", "")
        if tag == "input" and self.inside and attrs.get("name") and attrs.get("type") != "checkbox":
            self.fields[attrs["name"]] = attrs.get("value", "")

    def asks(self):
        return any(name in self.fields for name in ("password", "totp", "otp"))

    def fill(self, names, value):
        name = next(name for name in self.fields if name in names)
        self.fields[name] = value


def sign_in(browser, page, login, password, stop):
    """Fills in what is asked for, from `page` on, until an answer leads to an address that begins with `stop`.

    That answer is given, not followed.
    """
    device = None
    answer = page
    for _ in range(20):
        location = answer.headers.get("location", "") if answer.is_redirect else ""
        if location:
            address = urllib.parse.urljoin(answer.url, location)
            if address.startswith(stop):
                return answer
            answer = browser.get(address, allow_redirects=False, timeout=10)
            continue
        form = next((form for form in forms(answer.text) if form.asks()), None)
        assert form is not None, f"{answer.status_code} {answer.url} asks for nothing: {answer.text}"
        if "password" in form.fields:
            form.fill(("login", "username", "email", "identifier"), login)
            form.fill(("password",), password)
        elif "totp" in form.fields:
            device = form.fields["totpSecret"]
            form.fill(("totp",), one_time_code(device))
        else:
            form.fill(("otp",), one_time_code(device))
        address = urllib.parse.urljoin(answer.url, form.action)
        answer = browser.post(address, data=form.fields, allow_redirects=False, timeout=10)
    raise AssertionError(f"no end of forms and redirects: {answer.url}")


def forms(page):
    """Every form of a page."""
    return [Form(page, number) for number in range(page.lower().count("<form"))]


def one_time_code(secret):
    """The code that a telephone shows now (RFC 6238)."""
    digest = hmac.new(secret.encode(), struct.pack(">Q", int(time.time()) // 30), "sha1").digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"
