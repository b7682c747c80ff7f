-- One row per product code. Its name is the one on most lines; among equals the first in the
-- alphabet.
with

lines as (

    select * from {{ ref('stg_online_retail__invoice_lines') }}
    where
        rejected_reason is null and line_type = 'product'
        and {{ is_changed('product_id', 'stg_online_retail__changed_keys') }}

),

names as (

    select
        product_id,
        product_name,
        count(*) as count_lines

    from lines

    group by product_id, product_name

)

select distinct on (product_id)
    product_id,
    product_name,
    null::text as product_family,
    null::numeric as list_price_amount,
    null::date as introduced_date,
    null::date as discontinued_date

from names

order by product_id asc, product_name is null asc, count_lines desc, product_name collate "C" asc
