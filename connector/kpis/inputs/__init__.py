"""What no CRM holds, from files: read, described, held against the records."""
