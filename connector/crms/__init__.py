"""One folder per CRM. Everything a vendor does differently ends here."""
