{#
    CTEs `dates`, `lines` and `sampled`: the order lines of some days before each training date, guests' included, a
    product once an order. In a shop with more lines than the var basket_lines, `sampled` has those of a sample of
    buyers, by the hash of the buyer's id.
#}
{% macro sampled_lines(count_days) -%}
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
            and dates.as_of_date - {{ count_days }} <= items.ordered_date

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
{%- endmacro %}
