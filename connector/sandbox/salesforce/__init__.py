"""An embedded Salesforce org, API 68.0, behind the REST paths that a connector calls.

Built from the vendor's documentation and from recorded traffic. ``org.Org`` holds the records, ``story.tell`` writes business
events down as an org would, ``api.routes`` serves it.
"""
