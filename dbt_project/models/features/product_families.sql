-- One row per as_of_date and product_id: the family of a product that was ordered before the date
-- and belongs to one of the shop's largest families. A shop without families on its list gets
-- words of the products' names instead: one after the other, the word on most order lines that no
-- earlier word covers. Families are chosen by the year before the month of the date.
{%- set count_families = 24 %}
{%- set stop_words = [
    'and', 'the', 'with', 'for', 'from', 'set', 'pack', 'pcs', 'pair', 'piece', 'assorted', 'asst',
    'small', 'large', 'medium', 'mini', 'big', 'tall', 'long', 'round', 'square', 'new', 'old',
    'red', 'blue', 'green', 'pink', 'white', 'black', 'yellow', 'orange', 'purple', 'grey', 'gray',
    'brown', 'silver', 'gold', 'golden', 'ivory', 'cream', 'natural', 'clear', 'turquoise', 'lilac',
    'wooden', 'metal', 'glass', 'ceramic', 'cotton', 'paper', 'plastic', 'zinc', 'enamel', 'design',
    'colour', 'color', 'size', 'style', 'vintage', 'retro', 'antique', 'heart', 'retrospot',
    'polkadot',
    'inch', 'one', 'two', 'three', 'four', 'six', 'ten', 'twelve'
] %}
with recursive

dates as (

    select
        dates.as_of_date,
        date_trunc('month', dates.as_of_date)::date as month_date

    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('is_past') }}

),

-- counted once by month, not once for each date
months as (

    select
        product_id,
        date_trunc('month', ordered_date)::date as month_date,
        min(ordered_date) as first_ordered_date,
        count(*) as count_lines

    from {{ ref('fct_order_items') }}
    group by product_id, date_trunc('month', ordered_date)

),

sold as (

    select
        dates.as_of_date,
        months.product_id,
        coalesce(
            sum(months.count_lines) filter (
                where months.month_date < dates.month_date
                and months.month_date >= dates.month_date - interval '1 year'
            ), 0
        ) as count_lines

    from dates
    inner join months on dates.as_of_date > months.first_ordered_date
    group by dates.as_of_date, months.product_id

),

-- words of the names, where the list has no families
words as (

    select distinct
        products.product_id,
        word.word

    from {{ ref('dim_products') }} as products
    cross join regexp_split_to_table(lower(products.product_name), '[^[:alpha:]]+') as word (word)
    where
        length(word.word) > 2
        and word.word not in (
            {%- for word in stop_words %}
            '{{ word }}'{{ '' if loop.last else ',' }}
            {%- endfor %}
        )
        and not exists (
            select from {{ ref('dim_products') }} as listed
            where listed.product_family is not null
        )

),

stems as (

    select distinct word from words

),

-- a plural counts as its singular, where a name has that
singular as (

    select
        words.product_id,
        array_agg(distinct coalesce(stems.word, words.word)) as words

    from words
    left join stems
        on stems.word = left(words.word, -1) and right(words.word, 1) = 's'
    group by words.product_id

),

chosen as (

    select
        dates.as_of_date,
        0 as step,
        '{}'::text[] as words

    from dates

    union all

    select
        chosen.as_of_date,
        chosen.step + 1 as step,
        chosen.words || best.word as words

    from chosen
    cross join
        lateral (
            select word.word
            from sold
            inner join singular on sold.product_id = singular.product_id
            cross join unnest(singular.words) as word (word)
            where
                sold.as_of_date = chosen.as_of_date and sold.count_lines > 0
                and not singular.words && chosen.words
            group by word.word
            order by sum(sold.count_lines) desc, word.word collate "C" asc
            limit 1
        ) as best
    where chosen.step < {{ count_families }}

),

last_lists as (

    select distinct on (as_of_date)
        as_of_date,
        words

    from chosen
    order by as_of_date asc, step desc

),

-- the words of the last step, with the order lines that have them
word_lines as (

    select
        sold.as_of_date,
        word.word,
        sum(sold.count_lines) as count_lines

    from last_lists as lists
    inner join sold on lists.as_of_date = sold.as_of_date
    inner join singular on sold.product_id = singular.product_id
    cross join unnest(singular.words) as word (word)
    where word.word = any(lists.words)
    group by sold.as_of_date, word.word

),

named as (

    select distinct on (sold.as_of_date, sold.product_id)
        sold.as_of_date,
        sold.product_id,
        sold.count_lines,
        coalesce(products.product_family, word_lines.word) as family_name

    from sold
    inner join {{ ref('dim_products') }} as products on sold.product_id = products.product_id
    left join singular on sold.product_id = singular.product_id
    left join word_lines
        on sold.as_of_date = word_lines.as_of_date and word_lines.word = any(singular.words)
    order by
        sold.as_of_date asc, sold.product_id asc,
        word_lines.count_lines desc nulls last, word_lines.word collate "C" asc

),

largest as (

    select
        as_of_date,
        family_name,
        row_number() over (
            partition by as_of_date
            -- a shop in its first month has no line of the year before, only products
            order by sum(count_lines) desc, count(*) desc, family_name collate "C" asc
        ) as place

    from named
    where family_name is not null
    group by as_of_date, family_name

)

select
    named.as_of_date,
    named.product_id,
    named.family_name as product_family

from named
inner join largest
    on named.as_of_date = largest.as_of_date and named.family_name = largest.family_name
where largest.place <= {{ count_families }}
