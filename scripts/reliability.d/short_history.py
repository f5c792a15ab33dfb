"""short_history.py URI - lets a mongod of our own forget sooner

A collection that is dropped keeps its files open as long as the server keeps history, five minutes unless told: a long
run drops a hundred a second, and the server dies of too many open files. Other servers have no such setting.
"""
import contextlib
import sys

import pymongo

with contextlib.suppress(pymongo.errors.OperationFailure):
    pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=20000).admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=30)
