"""S3-compatible stores behind fsspec, by boto3: whole objects, byte ranges, conditional PUT.

An object appears whole or not at all: every write is one PUT, made only when the writer is
closed without an exception; a large file goes there in parts (`s3_upload`).
`pipe_file(mode="create")` is a conditional PUT, the only exclusive create that such a store has.
Transient failures are retried by botocore, and here where it does not: a body that breaks off,
two conditional PUTs at once. See `s3_client` for the connection.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from pipeline.storage.s3_client import again_while, explained, is_broken_body, is_race, s3_client
from pipeline.storage.s3_upload import send_file

READ_BLOCK_BYTES = 4 * 2**20


class S3FileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The part of fsspec's interface that this product and pyarrow use."""

    protocol = ("s3", "s3a")
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(entry) for entry in path]
        for prefix in ("s3://", "s3a://"):
            if path.startswith(prefix):
                path = path[len(prefix) :]
        return path.rstrip("/")

    def _key(self, path: str) -> tuple[str, str]:
        bucket, _, key = self._strip_protocol(path).partition("/")
        return bucket, key

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Objects and folders directly below `path`; nothing is cached."""
        bucket, key = self._key(path)
        prefix = f"{key}/" if key else ""
        entries = list(self._entries(bucket, prefix, delimiter="/"))
        entries = [entry for entry in entries if entry["name"] != f"{bucket}/{prefix}"]
        if not entries:
            entries = [self._head(bucket, key)] if key else []
        return entries if detail else [entry["name"] for entry in entries]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Every object below `path`, by one flat listing where the depth is not limited."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **kwargs)
        bucket, key = self._key(path)
        found = {e["name"]: e for e in self._entries(bucket, f"{key}/" if key else "")}
        return found if detail else sorted(found)

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Size and ETag of an object, or that it is a folder."""
        bucket, key = self._key(path)
        if key:
            try:
                return self._head(bucket, key)
            except FileNotFoundError:
                pass
        with explained(f"{bucket}/{key}"):
            page = s3_client().list_objects_v2(
                Bucket=bucket, Prefix=f"{key}/" if key else "", MaxKeys=1
            )
        if page.get("KeyCount", 0) == 0 and key:
            raise FileNotFoundError(f"s3://{bucket}/{key}: no such object")
        return {"name": f"{bucket}/{key}".rstrip("/"), "size": 0, "type": "directory"}

    def exists(self, path: str, **kwargs: Any) -> bool:
        """True where an object or a folder is there. A refusal is an error, not an absence."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """The object's bytes, or a range of them."""
        bucket, key = self._key(path)
        if start is None and end is None:
            return self._get(bucket, key)
        size = self._head(bucket, key)["size"] if _is_from_end(start, end) else 0
        low = 0 if start is None else start if start >= 0 else max(0, size + start)
        high = end if end is None or end >= 0 else size + end
        if high is not None and high <= low:
            return b""
        return self._get(bucket, key, Range=f"bytes={low}-{'' if high is None else high - 1}")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write an object by one PUT; with mode `create` only where none is there.

        Raises:
            FileExistsError: mode is `create` and the object exists.
        """
        bucket, key = self._key(path)
        request = {"Bucket": bucket, "Key": key, "Body": bytes(value)}
        with explained(f"{bucket}/{key}"):
            if mode == "create":
                again_while(is_race, s3_client().put_object, **request, IfNoneMatch="*")
            else:
                s3_client().put_object(**request)

    def put_file(
        self, lpath: str, rpath: str, callback: Any = None, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        """Write an object from a file of this machine; modes as of `pipe_file`.

        Raises:
            FileExistsError: mode is `create` and the object exists.
        """
        send_file(lpath, *self._key(rpath), new=mode == "create")

    def rm_file(self, path: str) -> None:
        """Delete an object; no error where it is gone."""
        bucket, key = self._key(path)
        with explained(f"{bucket}/{key}"):
            s3_client().delete_object(Bucket=bucket, Key=key)

    def _rm(self, path: str) -> None:
        self.rm_file(path)

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Nothing: folders are parts of names here."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: folders are parts of names here."""

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **kwargs: Any) -> Any:
        if mode == "rb":
            size = self._head(*self._key(path))["size"]
            return _S3Reader(self, path, block_size=block_size or READ_BLOCK_BYTES, size=size)
        if mode in ("wb", "xb"):
            return _S3Writer(self, path, "create" if mode == "xb" else "overwrite")
        raise ValueError(f"mode must be rb, wb or xb on an object store, got {mode!r}")

    def _head(self, bucket: str, key: str) -> dict[str, Any]:
        with explained(f"{bucket}/{key}"):
            found = s3_client().head_object(Bucket=bucket, Key=key)
        return _entry(f"{bucket}/{key}", found["ContentLength"], found.get("ETag", ""))

    def _get(self, bucket: str, key: str, **kwargs: Any) -> bytes:
        from botocore.exceptions import ClientError

        try:
            with explained(f"{bucket}/{key}"):
                data: bytes = again_while(is_broken_body, _read, Bucket=bucket, Key=key, **kwargs)
                return data
        except OSError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and "InvalidRange" in str(cause):
                return b""  # a range that starts at or behind the end
            raise

    def _entries(self, bucket: str, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        with explained(f"{bucket}/{prefix}"):
            pages = s3_client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, Delimiter=delimiter):
                for folder in page.get("CommonPrefixes", []):
                    name = f"{bucket}/{folder['Prefix'].rstrip('/')}"
                    yield {"name": name, "size": 0, "type": "directory"}
                for found in page.get("Contents", []):
                    name = f"{bucket}/{found['Key']}"
                    entry = _entry(name, found["Size"], found.get("ETag", ""))
                    yield entry | {"LastModified": found.get("LastModified")}


class _S3Reader(AbstractBufferedFile):  # type: ignore[misc]
    """A seekable reader with read-ahead."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs.cat_file(self.path, start, end))


class _S3Writer(io.BytesIO):
    """Collects in memory; one PUT at the close, none where the `with` block raised."""

    def __init__(self, filesystem: S3FileSystem, path: str, mode: str) -> None:
        super().__init__()
        self._filesystem, self._path, self._mode = filesystem, path, mode

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if kind is not None:
            super().close()
        self.close()

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            self._filesystem.pipe_file(self._path, data, mode=self._mode)


def _read(**request: Any) -> bytes:
    return bytes(s3_client().get_object(**request)["Body"].read())


def _is_from_end(start: int | None, end: int | None) -> bool:
    return (start is not None and start < 0) or (end is not None and end < 0)


def _entry(name: str, size: int, etag: str) -> dict[str, Any]:
    return {"name": name, "size": size, "type": "file", "ETag": etag.strip('"')}
