"""What flows between the stages: records, tables, commits, errors. numpy and pyarrow only."""
