"""Fixtures of the tests against S3: the server, a bucket for each test, and a project whose store is in it."""
import os
import secrets
import shutil

import pytest

from cli_support import add_users
from conftest import Project, server_uri
from s3_server import S3Server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    program = os.environ.get("MIG_S3_SERVER")
    if not program:
        pytest.skip("no S3 server: MIG_S3_SERVER is not set (scripts/test sets it where scripts/s3 can build one)")
    server = S3Server(program, tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server):
    return s3_server.bucket("b" + secrets.token_hex(4))


class S3Project(Project):
    """Like any other, but that its store is a prefix of a bucket."""

    PREFIX = "mig/our app"

    def __init__(self, uri, folder, bucket):
        super().__init__(uri, folder)
        self.bucket, self.endpoint = bucket, None
        self.url = f"s3://{bucket.name}/{self.PREFIX}"

    def environment(self, uri=None, **extra):
        return super().environment(uri, **{**self.bucket.env(self.endpoint), "MIG_STORE": self.url, **extra})

    def ids(self):
        """Of the finished snapshots, seen without S3."""
        return [o.rsplit("/", 1)[1].removesuffix(".mig.tar") for o in self.bucket.objects()
                if o.startswith(self.PREFIX + "/") and o.endswith(".mig.tar")]

    def file(self, snapshot):
        return self.bucket.folder / self.PREFIX / f"{snapshot}.mig.tar"

    def copy(self, snapshot, name):
        """Another object with the same bytes and metadata, made without S3."""
        side = self.bucket.server.folder / "side" / self.bucket.name / self.PREFIX
        shutil.copytree(side / f"{snapshot}.mig.tar", side / f"{name}.mig.tar", dirs_exist_ok=True)
        shutil.copyfile(self.file(snapshot), self.file(name))
        return self.file(name)


@pytest.fixture
def stored(bucket, tmp_path):
    """A project with some users, its store in S3."""
    p = S3Project(server_uri("MIG_TEST_URI"), tmp_path, bucket)
    add_users(p, 20)
    yield p
    p.close()


def large(p, documents=90, size=200_000):
    """What does not pack: some 17 MiB, so that its archive is of three parts."""
    p.db.big.insert_many([{"_id": i, "noise": os.urandom(size)} for i in range(documents)])
