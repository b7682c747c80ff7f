"""Alerts, incidents, the watchdog, and checks of delivery, for the person on call."""
