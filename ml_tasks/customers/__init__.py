"""What the questions about customers share: probability models, the buying clock, boosting."""
