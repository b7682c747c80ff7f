"""One alert a cause: what broke, who is told, and when it is over. Light to import.

`tell.tell` opens incidents and sends; `tell.recovered` closes them. The DAGs and the watchdog say
what they saw, everything else is in here.
"""
