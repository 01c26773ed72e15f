"""The schema and its versions: made whole from schema.sql, brought forward by migrations/, looked at by processes."""
