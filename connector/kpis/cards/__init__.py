"""What people see in the CRM: the scorecard of a deal, an account, a key opinion leader, a rep, and the rows of snapshots."""
