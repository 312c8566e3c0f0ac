"""The directory where the review app keeps its database and settings, and its environment."""

from __future__ import annotations

import getpass
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError, os_sentence

ENV_HOME = "GLIPFORGE_REVIEW_HOME"
ENV_URI = "FIFTYONE_DATABASE_URI"
ENV_NAME = "FIFTYONE_DATABASE_NAME"
ENV_REVIEWER = "GLIPFORGE_REVIEWER"
"""Who reviews in an App process; set by whoever starts it."""
MAX_REVIEWER_CHARS = 80
DEFAULT_DATABASE_NAME = "glipforge"
PLUGIN_DIR = Path(__file__).parent / "app" / "plugin"


@dataclass(frozen=True, slots=True)
class ReviewHome:
    """Paths below one directory. Everything in it can be made again from the runs."""

    root: Path

    @property
    def database(self) -> Path:
        """MongoDB's data files."""
        return self.root / "db"

    @property
    def database_version(self) -> Path:
        """Which MongoDB wrote the data files: an older one could not open them."""
        return self.root / "db.version"

    @property
    def endpoint(self) -> Path:
        """JSON of the running server: port, pids, version."""
        return self.root / "mongod.json"

    @property
    def clients_lock(self) -> Path:
        """Held shared by every process that uses the server."""
        return self.root / "clients.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held by the process that keeps the server, as long as it lives."""
        return self.root / "keeper.lock"

    @property
    def start_lock(self) -> Path:
        """Held while a client looks for the server or starts it."""
        return self.root / "start.lock"

    def pull_lock(self, dataset: str) -> Path:
        """Held by the pull of a dataset: two at once would both take the same words."""
        return self.root / f"pull-{dataset_slug(dataset)}.lock"

    @property
    def mongod_log(self) -> Path:
        """MongoDB's own log."""
        return self.root / "mongod.log"

    @property
    def keeper_log(self) -> Path:
        """What the keeper had to say."""
        return self.root / "keeper.log"

    def server_log(self, port: int) -> Path:
        """What the App server on a port had to say: several reviewers have one each."""
        return self.root / f"server-{port}.log"

    @property
    def media(self) -> Path:
        """Images that are not files a browser can show, by content hash."""
        return self.root / "media"

    @property
    def settings(self) -> Path:
        """FiftyOne's own configuration files and data directory."""
        return self.root / "fiftyone"


def review_home(path: Path | None = None) -> ReviewHome:
    """The home at `path`, else `$GLIPFORGE_REVIEW_HOME`, else below the user's data directory.

    Raises:
        ConfigError: it cannot be made or written.
    """
    if path is None:
        named = os.environ.get(ENV_HOME)
        data = os.environ.get("XDG_DATA_HOME")
        base = Path(data) if data else Path.home() / ".local" / "share"
        path = Path(named) if named else base / "glipforge" / "review"
    home = ReviewHome(path.absolute())
    try:
        # Other users of the machine have no business in the database files.
        home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (home.media, home.settings):
            directory.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the review home {home.root} cannot be made: {os_sentence(error)}; choose another "
            f"with --home or ${ENV_HOME}"
        ) from error
    if not os.access(home.root, os.W_OK):
        raise ConfigError(f"the review home {home.root} is not writable; choose another by --home")
    return home


def reviewer_name(given: str | None) -> str:
    """The name that goes into decisions: `given`, else `$GLIPFORGE_REVIEWER`, else the login name.

    Raises:
        ConfigError: it is blank, too long, or holds characters that cannot be printed.
    """
    name = given if given is not None else os.environ.get(ENV_REVIEWER) or getpass.getuser()
    name = name.strip()
    if not name or len(name) > MAX_REVIEWER_CHARS or not name.isprintable():
        raise ConfigError(
            f"reviewer must be a name of 1 to {MAX_REVIEWER_CHARS} printable characters, got "
            f"{name!r}"
        )
    return name


def database_name() -> str:
    """Name of the database: `$FIFTYONE_DATABASE_NAME`, else `glipforge`."""
    return os.environ.get(ENV_NAME) or DEFAULT_DATABASE_NAME


def fiftyone_environment(home: ReviewHome, uri: str) -> dict[str, str]:
    """Variables that must be set before FiftyOne is imported, in this process or a child's.

    Without them FiftyOne reads `~/.fiftyone`, attaches to any database service of the same user,
    and the App's pages call analytics hosts.
    """
    return {
        "FIFTYONE_DATABASE_URI": uri,
        "FIFTYONE_DATABASE_NAME": database_name(),
        "FIFTYONE_DATABASE_VALIDATION": "false",  # else a warning about the age of MongoDB 6.0
        "FIFTYONE_CONFIG_PATH": str(home.settings / "config.json"),
        "FIFTYONE_APP_CONFIG_PATH": str(home.settings / "app_config.json"),
        "FIFTYONE_DEFAULT_DATASET_DIR": str(home.settings / "data"),
        "FIFTYONE_PLUGINS_DIR": str(PLUGIN_DIR),
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",
        # A single server has no change streams; without this every operator logs a warning.
        "FIFTYONE_EXECUTION_STORE_NOTIFICATION_SERVICE_DISABLED": "true",
        # False gives check boxes with counts in the side bar; right below ~100 000 samples.
        "FIFTYONE_APP_DEFAULT_QUERY_PERFORMANCE": "false",
        "FIFTYONE_DEFAULT_APP_ADDRESS": "127.0.0.1",
    }


def prepare_environment(home: ReviewHome, uri: str) -> None:
    """Set this process's environment for `import fiftyone`.

    Raises:
        ConfigError: FiftyOne was already imported here with another database.
    """
    loaded = sys.modules.get("fiftyone")
    if loaded is not None and loaded.config.database_uri != uri:
        raise ConfigError(
            f"fiftyone is already imported in this process with the database "
            f"{loaded.config.database_uri!r}; this review home uses {uri!r}"
        )
    os.environ.update(fiftyone_environment(home, uri))


def dataset_slug(text: str) -> str:
    """`text` as FiftyOne would slug it: names that differ only in case or signs are one."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
