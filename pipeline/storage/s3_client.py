"""The boto3 client of a process, its errors as ours, and the retries that botocore leaves out.

The endpoint and the credentials come from boto3's own variables (`AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, ...). A refusal says what to check.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.storage.errors import StorageDenied, StorageKeysRefused, StorageUnavailable

MAX_ATTEMPTS = 6
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
_DENIED = {"401", "403", "AccessDenied", "AllAccessDisabled", "AccountProblem"}
_BAD_KEYS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSecurity",
    "NotSignedUp",
}
_OTHER_TIME = "RequestTimeTooSkewed"
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_EXISTS = {"412", "PreconditionFailed"}
_RACE = {"409", "ConditionalRequestConflict", "OperationAborted"}
FIRST_WAIT_S = 0.2
"""Before the second attempt of what botocore does not retry; twice as long before each further."""

_clients: dict[tuple[int, str], Any] = {}
_clients_lock = threading.Lock()


def s3_client() -> Any:
    """The S3 client of this process; boto3 clients are thread-safe, but do not survive a fork."""
    key = (os.getpid(), os.environ.get("AWS_ENDPOINT_URL", ""))
    with _clients_lock:
        if key not in _clients:
            import boto3
            from botocore.config import Config

            config = Config(
                retries={"mode": "standard", "max_attempts": MAX_ATTEMPTS},
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                max_pool_connections=64,
                # Stores other than AWS know neither bucket host names nor the newer checksums.
                s3={"addressing_style": "path"} if key[1] else None,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            _clients[key] = boto3.session.Session().client("s3", config=config)
        return _clients[key]


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn botocore's errors into built-in and Glipforge errors that name the object."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        ParamValidationError,
        TokenRetrievalError,
    )

    endpoint = os.environ.get("AWS_ENDPOINT_URL", "AWS")
    try:
        yield
    except NoCredentialsError as error:
        raise StorageDenied(
            f"s3://{path}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "AWS_PROFILE, or give the machine a role"
        ) from error
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _EXISTS:
            raise FileExistsError(f"s3://{path} exists") from error
        if code in _EXPIRED:
            raise StorageKeysRefused(
                f"s3://{path}: {endpoint} refuses {error.operation_name} ({code}): the session's "
                "token has expired; get new credentials and repeat the command, it goes on"
            ) from error
        if code == _OTHER_TIME:
            raise StorageKeysRefused(
                f"s3://{path}: {endpoint} refuses {error.operation_name} ({code}): the clock of "
                "this machine or of the store is wrong by minutes; set it and repeat the command, "
                "it goes on"
            ) from error
        if code in _BAD_KEYS or code in _DENIED or status in (401, 403):
            refused = StorageKeysRefused if code in _BAD_KEYS else StorageDenied
            raise refused(
                f"s3://{path}: {endpoint} refuses {error.operation_name} ({code}): check that the "
                "credentials are those of this store and may list the bucket (s3:ListBucket), "
                "read (s3:GetObject) and, for a run directory, write (s3:PutObject, "
                "s3:DeleteObject); without list permission a missing object looks the same"
            ) from error
        if code in _MISSING or status == 404:
            what = "bucket" if code == "NoSuchBucket" else "object"
            raise FileNotFoundError(f"s3://{path}: no such {what} at {endpoint}") from error
        if (
            (status >= 500 and code != "NotImplemented")
            or status == 429
            or code in _RACE
            or code == "SlowDown"
        ):
            raise StorageUnavailable(
                f"s3://{path}: {endpoint} failed after {MAX_ATTEMPTS} attempts: {error}"
            ) from error
        raise OSError(f"s3://{path}: {error}") from error
    except ParamValidationError as error:
        # botocore's own words hold what was typed, which may be keys written into the URL.
        raise FileNotFoundError(
            f"s3://{path}: not a valid bucket and key: a bucket's name is letters, digits, dots, "
            "hyphens and underscores; keys to a store are given by variables or a profile"
        ) from error
    except (CredentialRetrievalError, TokenRetrievalError) as error:
        raise StorageKeysRefused(
            f"s3://{path}: the credentials cannot be had: {error}; get new ones and repeat the "
            "command, it goes on"
        ) from error
    except BotoCoreError as error:
        raise StorageUnavailable(
            f"s3://{path}: {endpoint} cannot be reached after {MAX_ATTEMPTS} attempts: {error}"
        ) from error


def again_while(
    is_passing: Callable[[Exception], bool], call: Callable[..., Any], **kw: Any
) -> Any:
    """The answer of a call, tried `MAX_ATTEMPTS` times as long as its error is a passing one."""
    for attempt in range(MAX_ATTEMPTS - 1):
        try:
            return call(**kw)
        except Exception as error:
            if not is_passing(error):
                raise
        time.sleep(FIRST_WAIT_S * 2**attempt)
    return call(**kw)


def is_race(error: Exception) -> bool:
    """Another conditional PUT is under way: who wins is not known yet."""
    from botocore.exceptions import ClientError

    return isinstance(error, ClientError) and error.response["Error"].get("Code") in _RACE


def is_broken_body(error: Exception) -> bool:
    """The answer came, and its content did not: botocore retries answers only."""
    from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

    return isinstance(error, IncompleteReadError | ReadTimeoutError | ResponseStreamingError)
