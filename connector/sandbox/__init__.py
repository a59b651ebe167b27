"""An embedded Salesforce org and HubSpot portal behind their real HTTP APIs, on loopback.

Built from the vendors' contracts, not from the adapters: it imports nothing of the rest of the package,
so that an adapter's misunderstanding is not mirrored by its own fake.
"""
