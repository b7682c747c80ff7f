"""What a person on call needs: alerts, incidents, the watchdog, and whether readers got a date."""
