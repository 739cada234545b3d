"""A class arrives: many people sign in within a minute, all behind one address, with the limits as they are by default.

usage: sign_in_rush.py --riwaq target/release/riwaq [--people 500] [--seconds 60]

The people are made through the administration API first. Arrivals are independent of each other and of the answers
(an open loop); a time counts from the moment at which the person pressed the key, not from when we came to send it.
"""

import argparse
import pathlib
import tempfile

from rush import Rush, ask, email, make_people
from servers import PASSWORD, Riwaq


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", required=True)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        with Riwaq(arguments.riwaq, pathlib.Path(name) / "data") as riwaq:
            make_people(riwaq.port, riwaq.headers("admin@riwaq.local"), arguments.people)

            def sign_in(n):
                return ask(riwaq.port, "/api/auth/login", {"email": email(n), "password": PASSWORD})[0]

            rush = Rush(sign_in, arguments.people, arguments.seconds, {"Riwaq": riwaq.pid})
    print(f"{arguments.people} sign-ins in {arguments.seconds:.0f} s from one address: {rush}")


main()
