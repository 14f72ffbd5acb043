"""A store that speaks S3: moto's server, as a process of its own on 127.0.0.1.

What lies in it is looked at with boto3, whose code is not the one under test.
"""

import base64
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from breaking import UPSCALE, contents, ended, status_here, unmeasured
from proxy import PATIENCE

needs_store = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("s3fs", "moto", "boto3", "flask")),
    reason="needs the extras cloud and servers: s3fs, moto[server]",
)

OF_USERS = ("AWS_", "FSSPEC_", "BOTO", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""The beginnings of variables of whoever runs the tests, which no store under test may see."""


class Store:
    """A store that runs: its address, and what lies in it, by boto3."""

    def __init__(self, process: "subprocess.Popen[str]", endpoint: str) -> None:
        import boto3
        from botocore.config import Config

        self._process, self.endpoint, self._numbers = process, endpoint, count()
        self.number = process.pid
        config = Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE, s3={"addressing_style": "path"})
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106  moto asks for none
            config=config,
        )

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Return the environment of a command that shall find this store, or a proxy before it, and no other."""
        ours = {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "*",
        }
        return {name: value for name, value in os.environ.items() if not name.upper().startswith(OF_USERS)} | ours

    def run(
        self, *words: object, endpoint: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run `upscale` with some arguments and variables, and return its status and output."""
        return ended([*UPSCALE, *words], env=unmeasured(self.environment(endpoint) | environment), timeout=600)

    def start(self, *words: object, endpoint: str | None = None, **environment: str) -> "subprocess.Popen[bytes]":
        """Start `upscale`, so that it can be killed."""
        line = [*UPSCALE, *map(str, words)]
        return subprocess.Popen(
            line, env=unmeasured(self.environment(endpoint) | environment), stderr=subprocess.PIPE
        )

    def bucket(self) -> str:
        """Return the name of a new bucket."""
        name = f"bucket-{os.getpid()}-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, objects: Mapping[str, bytes], prefix: str = "") -> None:
        """Store objects, by their keys, or the rest of them behind a prefix."""
        for key, content in objects.items():
            self.client.put_object(Bucket=bucket, Key=prefix + key, Body=content)

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """Return all keys of a bucket that begin with a prefix, sorted."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", ()))

    def contents(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Return all objects whose keys begin with a prefix, by the rest of their keys."""
        return {
            key.removeprefix(prefix): self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in self.names(bucket, prefix)
        }

    def uploads(self, bucket: str) -> list[str]:
        """Return the keys of all multipart uploads that were begun and are neither complete nor aborted."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]

    def fill(self, bucket: str, names: Sequence[str], *contents: bytes, prefix: str = "") -> None:
        """Store contents, which take turns, under many names: within the server, ten times as fast as by requests."""
        texts = [base64.b64encode(content).decode() for content in contents]
        self._order("fill", bucket=bucket, prefix=prefix, names=names, contents=texts)

    @contextlib.contextmanager
    def guarded(self, *actions: str) -> Iterator[dict[str, str]]:
        """Yield the variables of a user who may do only some things, until the block ends."""
        try:
            yield self._order("guard", user=f"user-{next(self._numbers)}", actions=actions)
        finally:
            self._order("open_to_all")

    def _order(self, name: str, **order: object) -> Any:
        """Have the server do something that its protocol has no request for."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([name, order]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def pictures(number: int, side: int = 24) -> dict[str, bytes]:
    """Return small images of noise by their names, in folders: PNG and JPEG of different sizes."""
    import numpy as np
    from PIL import Image

    made, random = {}, np.random.default_rng(number)
    for i in range(number):
        stream = io.BytesIO()
        noise = random.integers(0, 256, (side + i % 5, side + i % 7, 3), np.uint8)
        Image.fromarray(noise).save(stream, "JPEG" if i % 3 == 2 else "PNG")
        made[f"{'ab'[i % 2]}/{i:04}.{'jpg' if i % 3 == 2 else 'png'}"] = stream.getvalue()
    return made


def made_here(folder: Path, objects: Mapping[str, bytes], *words: str) -> dict[str, bytes]:
    """Return what a run on files of this machine makes of the same images, by the same names."""
    for name, content in objects.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert status_here([*UPSCALE, "in/", "-o", "out/", "-q", *words], folder) == 0
    return contents(folder / "out")


@contextlib.contextmanager
def running() -> Iterator[Store]:
    """Yield a store, which ends with the block."""
    command = [sys.executable, str(Path(__file__).with_name("store_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Store(process, process.stdout.readline().strip())
        finally:
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
