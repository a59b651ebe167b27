"""The canonical vocabulary: what a deal is here, whatever the CRM calls it. Imports nothing of ours."""
