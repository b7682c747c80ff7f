-- Rows of past dates lack the order days of the window, or were cut at 500 products. The next build makes these tables anew.
drop table if exists features.customer_baskets, features.customer_purchases, features.purchase_products;
