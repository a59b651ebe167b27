"""Desired minus observed: which scorecard values a rep should see, which the CRM holds, and the careful writing of the difference."""
