-- One row per as_of_date, order_number and product_id: order lines of the 1,095 days before a
-- training date, guests' included. A shop with more lines than the var basket_lines is sampled by
-- the hash of the buyer's id.
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
        on
            dates.as_of_date > items.ordered_date
            and dates.as_of_date - 1095 <= items.ordered_date

),

totals as (

    select
        as_of_date,
        count(*) as count_lines

    from lines
    group by as_of_date

),

sampled as (

    select lines.*

    from lines
    inner join totals on lines.as_of_date = totals.as_of_date
    where
        {{ sample_bucket('lines.buyer_id') }}
        < {{ sample_buckets() }}::bigint * {{ var('basket_lines') }} / totals.count_lines

)

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
