"""The server of `store.py`, as a process of its own: moto's, which speaks S3.

It prints its address, takes orders from standard input, and ends when that closes, so that none stays behind when a
test run is killed.
"""

import base64
import json
import logging
import math
import sys
import threading
from collections.abc import Callable

from moto import settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server


def fill(bucket: str, prefix: str, names: list[str], contents: list[str]) -> None:
    """Store contents, which take turns, under many names."""
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    turns = [base64.b64decode(content) for content in contents]
    for number, name in enumerate(names):
        backend.put_object(bucket, prefix + name, turns[number % len(turns)], disable_notification=True)


def guard(user: str, actions: list[str]) -> dict[str, str]:
    """Check every request from now on, as AWS does; return the variables of a user who may do some things only."""
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_user("us-east-1", user)
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    backend.put_user_policy(user, "some", json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    key = backend.create_access_key(user)
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    return {"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret_access_key}


def open_to_all() -> None:
    """Check nothing any more."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = math.inf


def serve() -> None:
    """Be the server."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # a line for each request otherwise
    # Its S3 alone: to find out for each request which service is meant takes moto a third of its time.
    server = make_server("127.0.0.1", 0, create_backend_app("s3"), threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.port}", flush=True)
    for line in sys.stdin:
        name, order = json.loads(line)
        print(json.dumps(ORDERS[name](**order)), flush=True)


ORDERS: dict[str, Callable[..., object]] = {"fill": fill, "guard": guard, "open_to_all": open_to_all}

if __name__ == "__main__":
    serve()
