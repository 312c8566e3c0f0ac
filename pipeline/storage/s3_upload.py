"""A file of this machine into an S3 store: by one PUT, in parts where it is large.

A store takes at most 5 GiB in one PUT, and a large file has no place in memory.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.storage.s3_client import again_while, explained, is_race, s3_client

PART_BYTES = 64 * 2**20
NUM_THREADS = 4
_MAX_PARTS = 10_000


def send_file(local: str, bucket: str, key: str, *, new: bool) -> None:
    """The object appears when the whole file is there; nothing is left of one that failed.

    Args:
        local: The file.
        bucket: Where it goes to.
        key: Its name there.
        new: Only where none is there.

    Raises:
        FileExistsError: `new`, and an object is there; it may be ours, of a lost answer.
    """
    target: dict[str, Any] = {"Bucket": bucket, "Key": key}
    condition = {"IfNoneMatch": "*"} if new else {}
    size = os.path.getsize(local)
    with explained(f"{bucket}/{key}"):
        if size <= PART_BYTES:
            body = _part(local, 0, size)
            again_while(is_race, s3_client().put_object, Body=body, **target, **condition)
            return
        upload = {**target, "UploadId": s3_client().create_multipart_upload(**target)["UploadId"]}
        try:
            parts = _send_parts(local, size, upload)
            if new:
                _require_none(target)  # some stores know the condition of a PUT only
            _complete(upload, parts, condition, size)
        except BaseException:
            with contextlib.suppress(Exception):  # else a store keeps the parts, and bills them
                s3_client().abort_multipart_upload(**upload)
            raise


def _send_parts(local: str, size: int, upload: dict[str, Any]) -> list[dict[str, Any]]:
    step = max(PART_BYTES, -(-size // _MAX_PARTS))

    def send(start: int) -> dict[str, Any]:
        number = start // step + 1
        body = _part(local, start, step)
        sent = s3_client().upload_part(Body=body, PartNumber=number, **upload)
        return {"PartNumber": number, "ETag": sent["ETag"]}

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        try:
            return list(pool.map(send, range(0, size, step)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _complete(
    upload: dict[str, Any], parts: list[dict[str, Any]], condition: dict[str, str], size: int
) -> None:
    from botocore.exceptions import ClientError

    target = {name: upload[name] for name in ("Bucket", "Key")}
    try:
        s3_client().complete_multipart_upload(
            MultipartUpload={"Parts": parts}, **upload, **condition
        )
    except ClientError as error:
        code = error.response["Error"].get("Code")
        if code == "NotImplemented" and condition:  # nobody was there a moment ago
            _complete(upload, parts, {}, size)
            return
        if code != "NoSuchUpload":
            raise
        # The answer to the first try was lost: it is complete, or another took the place.
        if condition:
            _require_none(target)
        if s3_client().head_object(**target)["ContentLength"] != size:
            raise


def _require_none(target: dict[str, Any]) -> None:
    from botocore.exceptions import ClientError

    try:
        s3_client().head_object(**target)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
    else:
        raise FileExistsError(f"s3://{target['Bucket']}/{target['Key']} exists")


def _part(local: str, start: int, num_bytes: int) -> bytes:
    with open(local, "rb") as stream:
        stream.seek(start)
        return stream.read(num_bytes)
