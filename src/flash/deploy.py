import os
from binascii import hexlify
from hashlib import sha256

def exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False

def digest(path, buffer):
    hash = sha256()
    view = memoryview(buffer)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return hexlify(hash.digest()).decode()
            hash.update(view[:count])

def copy(path, expected):
    target = "/" + path
    buffer = bytearray(512)
    if exists(target) and digest(target, buffer) == expected:
        print("kept", target)
        return
    # Beside its place first: a board that loses its power keeps the file that it had.
    fresh = target + ".new"
    view = memoryview(buffer)
    with open("/remote/" + path, "rb") as source, open(fresh, "wb") as file:
        while True:
            count = source.readinto(buffer)
            if not count:
                break
            file.write(view[:count])
    if digest(fresh, buffer) != expected:
        os.remove(fresh)
        raise OSError("{} is not what was sent".format(target))
    # Some file systems do not rename over what is there.
    if exists(target):
        os.remove(target)
    os.rename(fresh, target)
    print("wrote", target)

def deploy(directories, files):
    try:
        for path in directories:
            if not exists("/" + path):
                os.mkdir("/" + path)
        for path, expected in files:
            copy(path, expected)
        if hasattr(os, "sync"):
            os.sync()
    finally:
        os.chdir("/")
        os.umount("/remote")
