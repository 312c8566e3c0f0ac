"""The bridge to FiftyOne, the review app: a view of a run, never the truth.

Parquet annotations and decisions are the truth; a dataset in FiftyOne is made from them by `push`,
changed by people, and read back by `pull` as decisions. In `sync`, `documents`, `seen`,
`merge` and `changes` are pure (dict <-> record); the rest talks to processes. Nothing here imports
FiftyOne before `home.prepare_environment` has run, except the plugin's own modules.
"""
