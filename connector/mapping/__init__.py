"""An admin's YAML files become canonical records: read with positions, validated, checked against the live CRM, applied."""
