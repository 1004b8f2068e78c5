# The target's file system for a directory of the host. Needs link.py.


class _mpb_file(_mpb.File):
    def __init__(self, handle, size, text):
        super().__init__(handle)
        self.size = size
        self.text = text

    def give(self, data):
        return str(data, "utf-8") if self.text else bytes(data)

    def take(self, n):
        data = bytearray(max(0, min(n, self.size - self.pos)))
        n = self.readinto(data)
        return data if n == len(data) else data[:n]

    def read(self, n=-1):
        if n is None or n < 0:
            return self.give(self.take(self.size))
        if not self.text:
            return self.give(self.take(n))
        data = bytearray()
        for _ in range(n):
            char = self.take(1)
            if not char:
                break
            data.extend(char)
            if char[0] >= 0xC0:
                data.extend(self.take(1 + (char[0] >= 0xE0) + (char[0] >= 0xF0)))
        return self.give(data)

    def readline(self, n=-1):
        data = bytearray()
        while True:
            part = bytes(self.peek())
            end = part.find(b"\n") + 1
            if end:
                part = part[:end]
            if n >= 0:
                part = part[: n - len(data)]
            data.extend(part)
            self.pos += len(part)
            if not part or end == len(part):
                return self.give(data)

    def readlines(self):
        return list(self)

    def __iter__(self):
        return self

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def seek(self, offset, whence=0):
        if whence:
            offset += self.pos if whence == 1 else self.size
        if offset < 0:
            raise OSError(22)
        self.pos = offset
        return offset

    def tell(self):
        return self.pos

    def write(self, data):
        raise OSError(30)

    def flush(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


class _mpb_dir:
    cwd = "/"

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def path(self, path):
        return path if path[:1] == "/" else self.cwd + path

    def ask(self, what, path):
        path = binascii.b2a_base64(self.path(path).encode()).decode()
        return _mpb.ask(what + " " + path[:-1])

    def chdir(self, path):
        path = self.ask("chdir", path)
        self.cwd = binascii.a2b_base64(path).decode()

    def getcwd(self):
        return self.cwd[:-1] or "/"

    def stat(self, path):
        kind, size = self.ask("stat", path).split(",")
        return (int(kind), 0, 0, 0, 0, 0, int(size), 0, 0, 0)

    def statvfs(self, path):
        return (1, 1, 0, 0, 0, 0, 0, 0, 1, 255)

    def ilistdir(self, path):
        handle = self.ask("list", path)
        while True:
            entry = _mpb.ask("next " + handle)
            if not entry:
                return
            name, kind, size = entry.split(",")
            yield (binascii.a2b_base64(name).decode(), int(kind), 0, int(size))

    def open(self, path, mode):
        for flag in mode:
            if flag not in "rbt":
                raise OSError(30)
        handle, size = self.ask("open", path).split(",")
        return _mpb_file(int(handle), int(size), "b" not in mode)

    def readonly(self, *args):
        raise OSError(30)

    mkdir = rmdir = remove = rename = readonly


vfs.mount(_mpb_dir(), "/remote")
os.chdir("/remote")
