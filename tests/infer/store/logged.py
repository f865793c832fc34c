"""Files that remember every change, so that a store can be made as it was at any instant."""

from infer.store.files import LocalFiles


class Changes:
    """Every change of a file, in order: (key, bytes), or (key, None) if it is deleted."""

    def __init__(self, monkeypatch):
        self.made = []
        write, delete = LocalFiles.write, LocalFiles.delete

        def logged_write(files, *groups):
            self.made += [item for group in groups for item in group.items()]
            write(files, *groups)

        def logged_delete(files, keys):
            keys = list(keys)
            self.made += [(key, None) for key in keys]
            delete(files, keys)

        monkeypatch.setattr(LocalFiles, "write", logged_write)
        monkeypatch.setattr(LocalFiles, "delete", logged_delete)

    def as_of(self, count):
        """Return the files after so many changes, by key."""
        files = dict(self.made[:count])
        return {key: data for key, data in files.items() if data is not None}


def put(folder, files):
    """Write files into a folder."""
    for key, data in files.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(folder)
