-- One row per as_of_date, order_number and product_id: order lines of the 547 days before a
-- training date. Orders of over 100 products are left out: they are wholesale, few, and hold most
-- pairs. A shop with more lines than the var basket_lines is sampled by the hash of the buyer's
-- id.
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('is_training_date') }}

),

lines as (

    select distinct
        dates.as_of_date,
        items.order_id,
        coalesce(items.customer_id, items.order_id) as buyer_id,
        items.is_guest,
        items.ordered_date,
        items.product_id

    from dates
    inner join {{ ref('fct_order_items') }} as items
        on dates.as_of_date > items.ordered_date and dates.as_of_date - 547 <= items.ordered_date

),

totals as (

    select
        as_of_date,
        count(*) as count_lines

    from lines
    group by as_of_date

),

orders as (

    select
        lines.as_of_date,
        lines.order_id,
        lines.buyer_id,
        lines.is_guest

    from lines
    inner join totals on lines.as_of_date = totals.as_of_date
    where
        {{ sample_bucket('lines.buyer_id') }}
        < {{ sample_buckets() }}::bigint * {{ var('basket_lines') }} / totals.count_lines
    group by lines.as_of_date, lines.order_id, lines.buyer_id, lines.is_guest
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
    lines.as_of_date,
    numbered.order_number::integer as order_number,
    numbered.buyer_number::integer as buyer_number,
    lines.ordered_date,
    lines.product_id

from numbered
inner join lines
    on numbered.as_of_date = lines.as_of_date and numbered.order_id = lines.order_id
