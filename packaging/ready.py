"""Listens where systemd would: `ready.py SOCKET` prints a line when it listens, and one with the time when READY=1 has come."""

import os
import socket
import sys
import time

listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
listening.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
print("listening", flush=True)
begin = time.monotonic()
listening.settimeout(60)
while b"READY=1" not in listening.recv(4096):
    pass
print(f"after {(time.monotonic() - begin) * 1000:.0f} ms", flush=True)
