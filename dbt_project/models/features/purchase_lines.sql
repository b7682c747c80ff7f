-- One row per as_of_date, order_number and product_id: order lines of the 1,095 days before a
-- training date, guests' included; of a large shop those of a sample of buyers.
with

{{ sampled_lines(1095) }}

select
    as_of_date,
    dense_rank() over (
        partition by as_of_date order by order_id collate "C"
    )::integer as order_number,
    dense_rank() over (
        partition by as_of_date order by is_guest, buyer_id collate "C"
    )::integer as buyer_number,
    is_guest,
    ordered_date,
    product_id

from sampled
