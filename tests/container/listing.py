"""Run inside a container: print every file of its file system as JSON. Only the standard library; nothing of here."""

import json
import stat
import sys
from pathlib import Path

# What an engine mounts or writes into every container.
NOT_OF_THE_IMAGE = {"/proc", "/sys", "/dev", "/run", "/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
                    "/etc/mtab", "/.dockerenv"}  # fmt: skip
PYC_HEADER_BYTES = 8

entries = []
for folder, folders, files in Path("/").walk():
    folders[:] = [name for name in folders if str(folder / name) not in NOT_OF_THE_IMAGE]
    for path in (folder / name for name in (*folders, *files)):
        if str(path) in NOT_OF_THE_IMAGE:
            continue
        status = path.lstat()
        header = ""
        if path.suffix == ".pyc" and stat.S_ISREG(status.st_mode):
            with path.open("rb") as stream:
                header = stream.read(PYC_HEADER_BYTES).hex()
        link = str(path.readlink()) if stat.S_ISLNK(status.st_mode) else ""
        entries.append((str(path), status.st_mode, status.st_uid, status.st_gid, status.st_size, link, header))
json.dump(entries, sys.stdout)
