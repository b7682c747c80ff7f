-- One row per as_of_date, order_number and product_id: order lines of the 547 days before a
-- training date, guests' included; of a large shop those of a sample of buyers. Orders of over 100
-- products are left out: they are wholesale, few, and hold most pairs.
with

{{ sampled_lines(547) }},

orders as (

    select
        as_of_date,
        order_id,
        buyer_id,
        is_guest

    from sampled
    group by as_of_date, order_id, buyer_id, is_guest
    having count(*) <= 100

),

numbered as (

    select
        as_of_date,
        order_id,
        row_number() over (partition by as_of_date order by order_id collate "C") as order_number,
        dense_rank() over (
            partition by as_of_date order by is_guest, buyer_id collate "C"
        ) as buyer_number

    from orders

)

select
    sampled.as_of_date,
    numbered.order_number::integer as order_number,
    numbered.buyer_number::integer as buyer_number,
    sampled.ordered_date,
    sampled.product_id

from numbered
inner join sampled
    on numbered.as_of_date = sampled.as_of_date and numbered.order_id = sampled.order_id
