"""The schema and its versions: made whole from schema.sql, brought forward by migrations/, and looked at by processes."""
