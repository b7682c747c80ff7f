-- One row per order whose lines came again with less money: of each line the readable row of most
-- money, less the one that counts.
with

replaced_orders as (

    select distinct order_id
    from {{ ref('stg_canonical__order_items_rejected') }}
    where rejected_reason like 'replaced by%'

),

readable_rows as (

    select
        order_id,
        order_item_id,
        abs(quantity * unit_price_amount) as amount,
        row_number() over (
            partition by order_id, order_item_id order by file_id desc, line_number desc
        ) = 1 as is_newest

    from {{ ref('stg_canonical__order_items_judged') }}

    where row_fault is null and order_id in (select order_id from replaced_orders)

),

lines as (

    select
        order_id,
        max(amount) - sum(amount) filter (where is_newest) as reduced_amount

    from readable_rows

    group by order_id, order_item_id

)

select
    order_id,
    sum(reduced_amount) as reduced_amount

from lines

group by order_id

having sum(reduced_amount) > 0
