-- One row per product line of a sale, guests' included. Postage, fees and the like are in
-- fct_charges.
select
    order_item_id,
    order_id,
    customer_id,
    is_guest,
    ordered_at,
    ordered_date,
    product_id,
    units,
    unit_price_amount,
    line_amount

from {{ ref('int_order_lines') }}

where
    line_kind = 'sale'
    and {{ is_changed('order_id') }}
