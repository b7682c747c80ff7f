-- One row per changed file and order, product or customer that stands in it; the other two keys
-- are null.
select
    file_id,
    order_id,
    product_id,
    customer_id

from {{ ref('stg_' ~ var('source') ~ '__changed_keys') }}

where num_nonnulls(order_id, product_id, customer_id) > 0
