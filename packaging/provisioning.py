"""A box whose platform is the lab, with the line that residentd-lab prints as JSON.

    provisioning.py file JSON                the file for `residentctl provision --file`
    provisioning.py online JSON [SECONDS]    waits until the platform sees the box, a minute at most
"""

import json
import sys
import time
import urllib.request

lab = json.loads(sys.argv[2])


def ask(path):
    """What the lab answers."""
    with urllib.request.urlopen(f"{lab['page_url']}{path}") as answer:
        return json.load(answer)


if sys.argv[1] == "file":
    print(f"""username = "chattademo"
password = "password"

[line.chatta]
api = "{lab['api_url']}"
pusher = "ws://127.0.0.1:{lab['pusher']}"
key = "{ask('/lab/config')['pusher']['key']}"
rooms = "{lab['rooms_url']}"
""")
else:
    end = time.monotonic() + int((sys.argv[3:] or [60])[0])
    while "chattademo" not in json.dumps(ask("/lab/state")["pusher"]):
        if time.monotonic() > end:
            sys.exit("the platform does not see the box")
        time.sleep(0.02)
