"""Between run and App: push annotations, pull decisions; never overwrites a person."""
