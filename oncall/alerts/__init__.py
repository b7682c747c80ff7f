"""One alert per cause: what broke, who is notified, and when it is over. Light to import.

`notify.notify` opens incidents and sends alerts; `notify.recovered` closes incidents. The DAGs and
the watchdog pass in causes; everything else is in this package.
"""
