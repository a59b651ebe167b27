"""The sandbox's HubSpot portal: records with property history behind the dated API, true to statuses, headers and bodies.

``portal.Portal`` holds the records, ``story.tell`` writes the business down in HubSpot's way, ``api.routes`` serves it.
"""
