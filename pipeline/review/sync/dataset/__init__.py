"""The FiftyOne dataset of a run: fields, views, who looks at what."""
